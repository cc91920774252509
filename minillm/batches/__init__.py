"""tokens → batches: documents packed into rows, shards on disk, a stream resumable at any step."""
