"""Problem sets of the book: released as notebooks, handed in by students, graded in a cage.

The only source of a set is ``assignments/<set>.md``. What is made of it, lowest floor first:

* ``sources`` reads a set, refuses one that breaks the format, and leaves out what a student must not see.
* ``wire`` carries plain values over a pipe, and ``worker`` runs a student's cells at its far end; ``memory`` tells what
  they held.
* ``submission`` starts a worker, in a cage or not, and calls what the cells defined; ``cage`` is the sandbox.
* ``grading`` runs the tests of the source on what came back; ``judge`` does so in a process of its own.
* ``report`` writes points, feedback and what needs a person.
* ``check``, ``release`` and ``grade`` are the commands: ``python -m course.check race``.
"""
