"""The names of level 4, beside those of the levels below.

In: nothing. Out: two tuples of as many names each. Left out on purpose: names that could begin a
sentence as another word (Rose, May, Will), since a reader takes every capital for what it may be,
and names that are part of another (Ada, Adam).
"""

WIDE_GIRLS = tuple("""
Adele Agnes Aisha Alma Amelia Amina Amy Anita Astrid Audrey Beatrice Becky Bella Beryl Bianca
Bonnie Bridget Camila Carmen Carol Cecilia Chloe Claudia Cleo Coco Cora Daphne Daria Diana Dora
Doris Edith Elena Elisa Elsa Erika Esther Fatima Fiona Flora Freya Frida Gemma Gina Greta Gwen
Hanna Harriet Hazel Heather Heidi Helen Hilda Imani Ingrid Irene Isabel Isla Jasmin Jenny Jill
Joan Judy Kamala Karin Kate Keiko Kira Kirsten Laila Laura Layla Leah Lena Lina Linda Lola Lotte
Luna Mabel Maja Mara Margot Maria Marie Martha Matilda Meena Mila Mina Mira Miriam Nadia Nancy
Naomi Nela Nina Noemi Olga Olivia Ophelia Petra Phoebe Pia Polly Priya Rachel Ramona Rania Rhea
Rita Rosa Sabine Sadie Sally Selma Sofia Stella Sunita Susan Sylvia Tamara Thea Ulla Uma Ursula
Vera Viola Vivian Wanda Wilma Xenia Yara Yasmin Yuki Zara Zelda Zuleika
""".split())  # fmt: skip

WIDE_BOYS = tuple("""
Aaron Abdul Ahmed Albert Alfred Amir Andre Anton Arjun Arthur Axel Barney Bashir Basil Bernard
Boris Bruce Bruno Callum Cedric Charlie Chen Chris Clemens Colin Conrad Cyril Dario David Dennis
Derek Diego Dylan Eddie Edgar Elias Emil Enzo Eric Erwin Ethan Felix Fergus Finley Florian Frank
Franz Gabriel Gavin George Gideon Glen Gordon Gregor Gustav Hamid Hans Harry Harvey Henry Herman
Hiro Howard Ian Igor Isaac Ivan Jacob Jamal James Jared Jason Jasper Javier Jesse Johan Jonas
Jorge Joseph Juri Karim Keith Kenji Kevin Kofi Kurt Lars Lennart Liam Linus Lorenz Lucas Luis
Magnus Malik Marco Mario Martin Mateo Matt Mehmet Milo Mohan Moritz Nathan Neil Nico Niels Nigel
Nils Omar Otis Otto Pablo Pascal Pedro Philip Quentin Rafael Ralph Ravi Roger Roland Rolf Rufus
Simon Stefan Steve Sven Tariq Thomas Tobias Trevor Victor Vincent Walter Wesley Xavier
""".split())  # fmt: skip
