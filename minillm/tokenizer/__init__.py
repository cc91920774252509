"""Documents → tokens (notebook 02).

alphabet   text → words → symbols: before any merge
merges     the algorithm: learn merges from word counts, merge one word
formats    the files of a tokenizer, as other libraries read them
bytepair   `Tokenizer`: train, encode, decode, save; the stage `make_tokenizer`
streaming  text without end, ids one by one, many texts in many processes
"""
