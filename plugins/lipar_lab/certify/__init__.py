"""`lipar certify`: bounds on the attention error of a pruned run, and the true error."""
