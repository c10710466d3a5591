# The end of the doctor's checks: how long they took, and that none is missing.
section took; echo "$began $(up)"
section end
