"""This backend's part of the observation of a host: the sums of every file in a folder, the note included.

A backend whose files are all below ``workspace/tree`` needs no part: ``observe_host`` sums those.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sandboxer.hosts.observation import ObservationPart
from sandboxer.model.observed import FileSums
from sandboxer_example_folder.folder import VERBS

if TYPE_CHECKING:
    from sandboxer.hosts.sections import Sections
    from sandboxer.model.observed import Reachable


def _read(observation: Reachable, sections: Sections, _stderr: bytes) -> Reachable:
    """Return the observation with the sums that the host printed; what is not a number makes it incomplete."""
    printed = {argument: body.split() for name, argument, body in sections if name == "folder-sums"}
    sums = {identifier: FileSums(*map(int, words)) for identifier, words in printed.items() if words}
    found = {identifier: replace(one, files=sums.get(identifier)) for identifier, one in observation.found.items()}
    return replace(observation, found=found)


FOLDER_PART = ObservationPart((VERBS, "sandboxer_example_folder:observe.sh"), {}, _read)
