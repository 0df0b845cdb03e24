"""Work shared among many machines by Dask: a cluster's workers, or some started on this machine.

What a worker does are plain functions of this program, named, and their answers depend on the task
alone. So a task that was lost with its worker is done again elsewhere, and nobody can see it in the
answer. Tasks and answers travel pickled over the wire, and nothing of that is ever on disk. Whoever
reaches a scheduler's port can make its workers do anything: close it to strangers, or let Dask ask
for certificates (its own settings, `DASK_DISTRIBUTED__COMM__TLS__...`; see docs/scale.md).

`connecting` gives a `Cluster` (`client`) to be asked to work: of a `scheduler` that runs already,
or `local`. `worker` is what runs there, `fitness` who may take part.

Dask is an extra (`pip install "spinecast[dask]"`), and imported only when a cluster is asked for.
"""

from spinecast.cluster.client import Cluster
from spinecast.cluster.connecting import cluster
from spinecast.cluster.fitness import program
from spinecast.cluster.worker import Failed

__all__ = ["Cluster", "Failed", "cluster", "program"]
