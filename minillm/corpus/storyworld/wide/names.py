"""The names of level 4, beside those of the levels below.

In: nothing. Out: two tuples of as many names each. A name that could begin a sentence as another
word (Rose, May, Will) is left out on purpose: a reader takes every capital for what it may be.
"""

WIDE_GIRLS = tuple("""
Ada Adele Agnes Aisha Alina Alma Amelia Amina Amy Anita Astrid Audrey Beatrice Becky Bella Bianca
Bonnie Bridget Camila Carmen Carol Cecilia Chloe Claudia Cleo Coco Cora Daphne Daria Diana Dora
Edith Elena Elisa Elsa Erika Esther Fatima Fiona Flora Freya Frida Gemma Gina Greta Hanna Harriet
Hazel Heidi Helen Hilda Imani Ingrid Irene Isabel Isla Jasmin Jenny Jill Joan Judy Julia Kamala
Karin Kate Keiko Kira Laila Laura Leah Lena Lina Linda Lola Lotte Louise Luna Mabel Maja Mara
Margot Maria Marie Martha Matilda Meena Mila Mina Mira Miriam Nadia Nancy Naomi Nela Nina Noemi
Olga Olive Olivia Paula Petra Phoebe Pia Polly Priya Rachel Ramona Rania Rita Rosa Sabine Sadie
Sally Selma Sofia Stella Sunita Susan Sylvia Thea Ulla Uma Vera Viola Wanda Wilma Yara Yasmin
Yuki Zara Zelda
""".split())  # fmt: skip

WIDE_BOYS = tuple("""
Aaron Abdul Ahmed Albert Alfred Ali Amir Andre Anton Arjun Arthur Axel Barney Bashir Basil Benno
Bernard Boris Bruno Bruce Callum Cedric Charlie Chen Chris Clemens Colin Conrad Cyril Dario David
Dennis Derek Diego Dylan Eddie Edgar Elias Emil Enzo Eric Erwin Ethan Evan Felix Fergus Finley
Florian Frank Franz Gabriel Gavin George Gideon Glen Gordon Gregor Gustav Hamid Hans Harry Harvey
Henry Herman Hiro Howard Ian Igor Isaac Ivan Jacob Jamal James Jared Jason Jasper Javier Jesse
Joel Johan Jonas Jorge Joseph Julian Juri Karim Keith Kenji Kevin Kofi Kurt Lars Lennart Leon
Liam Linus Lorenz Louis Lucas Luis Magnus Malik Marco Mario Martin Mateo Matt Mehmet Milo Mohan
Moritz Nathan Neil Nico Niels Nigel Nils Oliver Omar Otis Otto Pablo Pascal Pedro Philip Quentin
Rafael Ralph Ravi Roger Rolf
""".split())  # fmt: skip
