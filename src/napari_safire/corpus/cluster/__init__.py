"""Work on the processes of a dask cluster: on this machine, or on many.

dask runs the tasks of a lost worker again and promises no more than *at least once*: that nothing
counts twice is the business of those who keep the results.
"""
