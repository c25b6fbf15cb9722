"""The sections of `lipar bench`: one module each, with the functions that `lipar_lab.bench.section.Section` lists.

To add a section, write its module here and add its name to `lipar_lab.bench.SECTIONS`, at the place where it is to run.
A hyphen in the name is an underscore in the name of the module.
"""
