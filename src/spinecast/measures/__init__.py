"""How good risks are: pure arithmetic on risks and outcomes, with intervals."""
