"""tokens → batches: documents packed into rows, shards on disk, a stream that any step can resume."""
