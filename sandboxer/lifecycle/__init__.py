"""Looking at hosts and carrying plans out. What to do is decided in ``reconcile``; here it is seen and done."""
