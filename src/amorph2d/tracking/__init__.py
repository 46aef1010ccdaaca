"""MLflow: where runs and networks are kept, runs of training and analysis, registered networks.

Nothing here imports MLflow before it is used.
"""
