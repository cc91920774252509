"""Documents → tokens (notebooks 02, 02b, 02c).

alphabet   text → words → symbols: before any merge
merges     the algorithm: learn merges from word counts, merge one word
formats    the files of a tokenizer, as other libraries read them
bytepair   `Tokenizer`: train, encode, decode, save; the stage `make_tokenizer`
lattice    all segmentations of many words at once: sums, best ways, expected counts
pieces     another algorithm: pieces with probabilities, learned by EM and pruned
paths      ways through one word's lattice: the best, the n best, one drawn
unigram    `UnigramTokenizer`: train, encode, sample, decode, save
streaming  text without end, ids one by one, many texts in many processes
"""
