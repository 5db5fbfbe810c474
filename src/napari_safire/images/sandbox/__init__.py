"""Picture files decoded in a process of its own, for pictures from people who may mean harm.

============  =====================================================================================
``reader``    `SandboxedDecoder`: asks children, and survives what becomes of them
``child``     what runs in the child: bytes in, pixels out
``confining``  what the child may not do: memory, time, files, network, other programs
``messages``  what both say to each other: JSON and shared memory, checked by whoever takes it
============  =====================================================================================

The child gets bytes, not names of files. Its answers are not believed: shapes, types and sizes are
checked, the SHA-256 is made here, and shared memory is sealed, so that a child that was taken over
can give wrong pixels for its own picture, and no more.
"""

from napari_safire.images.sandbox.reader import SandboxedDecoder, SandboxLimits

__all__ = ["SandboxLimits", "SandboxedDecoder"]
