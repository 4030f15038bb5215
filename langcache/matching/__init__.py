"""Whether one question has the answer to another: by the words of the two, and by how similar a model finds them."""
