"""A model that meets a new hospital: kept, shifted, stretched, revised or learned anew.

Five rungs, from the least to the most that is learned at the new hospital. Which one is taken is
decided by a test whether anything changed at all, and then by patients no fit had seen.
"""
