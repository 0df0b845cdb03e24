"""MLflow's rooms: nobody else knows it."""
