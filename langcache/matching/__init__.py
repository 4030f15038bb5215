"""Whether one question has the answer to another, by the words of the two and by what a model says."""
