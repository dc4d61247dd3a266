"""The names of the files in a run folder, for all who read one; ``train_balanced.csv`` is named in ``utils.data.splits``."""

SETTINGS = "config.yaml"  # written last when a run begins: a folder with settings is a run
SPLIT = "split.csv"
BIT_DEPTH = "bit_depth.json"
HISTORY = "history.csv"
METRICS = "metrics.json"
DATA = "data.json"  # the classes and labels that a run began with
ORIGIN = "started_from.json"
TEACHER = "teacher.json"  # whose answers it learns from, and the unlabelled images
HASHES = "image_hashes.npz"  # of the images that it learns from
FOLDS = "folds.csv"  # which image is in which fold; a folder with it is a run of -folds
OOF = "oof.csv"  # the answers of the networks that have not learnt the images; written last of such a run
OOF_FOLDER = "oof"  # the same as probabilities
CHECKPOINTS = "checkpoints"
TENSORBOARD = "tensorboard"

# Settings that say where files are; equal runs at different places are equal.
PLACES = ("dir", "out", "resume", "split")
