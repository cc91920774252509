"""Documents → tokens (notebook 02).

alphabet   text → words → symbols: before any merge
merges     the algorithm: learn merges from word counts, merge one word
formats    the file of a tokenizer, as other libraries read it
bytepair   `Tokenizer`: train, encode, decode, save; the stage `make_tokenizer`
"""
