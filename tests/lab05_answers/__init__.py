"""The catalogue of lab 05: mistakes that people make, and right answers written in different ways."""

#: The modules, in the order of the exercises, and what a learner hands in.
EXERCISES = {"partitioner": "partition_for"}
#: Wrong answers, and different messages, an exercise.
LEAST_WRONG = 5
