"""Files in an S3 bucket or a local folder: a chain of manifests for each customer's table, the checkpoint in them."""
