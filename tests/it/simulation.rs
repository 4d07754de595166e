//! The simulation itself: it passes, it repeats itself, its checker finds built-in faults, and both stores agree.
