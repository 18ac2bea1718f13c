"""The data layer: one table of runs, its columns and units, and its reduction to bins.

``columns`` knows the trainers' names, ``units`` the spelling of large numbers, ``runs`` is the table every other part
of the package reads, and ``bins`` reduces its curves. Nothing here reads a file: that is ``bayeslaw.readers``.
"""
