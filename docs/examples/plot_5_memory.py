"""
More rows than memory holds
===========================

A model file is small, and a row depends on the model, the seed and its place only. So any number of
rows is made shard by shard, by one process or by a cluster, and the files are the same.
"""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from synthgen import SequentialTrees, sample_dataset

rng = np.random.default_rng(0)
rows = 3_000
attack = np.arange(rows) < 150
flows = pd.DataFrame(
    {
        "protocol": rng.choice(["tcp", "udp", "icmp"], rows, p=[0.7, 0.25, 0.05]),
        "packets": rng.geometric(np.where(attack, 0.01, 0.05)),
        "seconds": rng.gamma(np.where(attack, 0.5, 2.0), 4.0).round(2),
        "attack": np.where(attack, "yes", "no"),
    }
)

# %%
# One file that holds no row
# --------------------------

folder = Path(tempfile.mkdtemp())
model = SequentialTrees(random_state=0).fit(flows.drop(columns="attack"), flows["attack"])
model.save(folder / "attack.synthgen")
print(f"{(folder / 'attack.synthgen').stat().st_size / 1024:.0f} KiB")

# %%
# A folder of Parquet files
# -------------------------
# Memory does not grow with the number of rows: about half a GiB for each process. If the call is
# interrupted, the same call makes the rest. On a command line:
# ``synthgen sample attack.synthgen -n 1e9 -o rows/``.

made = sample_dataset(
    folder / "attack.synthgen",
    150_000,
    folder / "rows",
    label="yes",
    random_state=0,
    shard_rows=65_536,
)
pd.DataFrame(made["files"])[["file", "rows", "bytes"]]

# %%
# Read as a stream
# ----------------
# The rows are looked at batch by batch, and never stand in memory together.

import matplotlib.pyplot as plt
import pyarrow.dataset as ds

bins = np.linspace(0, 500, 26)
counts = np.zeros(25)
for batch in ds.dataset(folder / "rows").to_batches(columns=["packets"]):
    counts += np.histogram(batch["packets"].to_numpy(), bins)[0]

figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
real = flows.loc[attack, "packets"]
axes.stairs(np.histogram(real, bins, density=True)[0], bins, color="#1f5fa8", label="150 real rows")
axes.stairs(counts / counts.sum() / 20, bins, color="#d9622b", label="150,000 synthetic ones")
axes.set_xlabel("packets of an attack")
axes.set_yticks([])
axes.legend(fontsize=8)
plt.show()
