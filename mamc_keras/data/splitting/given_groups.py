"""Groups that a person names: by a CSV column, or by names of files."""

import os
import re
from pathlib import Path

from mamc_keras.data.formats.file_lists import find_lists
from mamc_keras.data.formats.file_lists import is_list
from mamc_keras.data.formats.file_lists import read_groups


def listed_groups(source, paths):
    """Looks up the group of each photo in the column `group` of a CSV source.

    Args:
        source: str or Path. What `open_source` was given.
        paths: sequence of str.

    Returns:
        list of str, one for each path, empty where there is no group.
    """
    place = Path(source).expanduser()
    groups = {}
    if is_list(place):
        groups = read_groups(place)
    elif place.is_dir():
        groups = read_groups(find_lists(place))
    return [groups.get(path, "") for path in paths]


def named_groups(pattern, paths):
    """Finds the group of each photo in the name of its file.

    Args:
        pattern: str. A regular expression with one pair of parentheses, the
            group; it may be found anywhere in a name.
        paths: sequence of str.

    Returns:
        list of str, one for each path, empty where a name does not match.

    Raises:
        ValueError: when it is no such expression, or fits no name.
    """
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise ValueError(
            "Groups are named by a regular expression. Received: "
            f"'{pattern}' ({error}). Write for example '(module[0-9]+)'."
        ) from error
    if expression.groups != 1:
        raise ValueError(
            "The group is what one pair of parentheses finds in the name of "
            f"a file. Received: '{pattern}' with {expression.groups} pairs. "
            "Write for example '(module[0-9]+)'; (?:...) only brackets."
        )
    found = [expression.search(os.path.basename(path)) for path in paths]
    groups = [(match[1] or "") if match else "" for match in found]
    if not any(groups):
        raise ValueError(
            "The regular expression of the groups fits no name. Received: "
            f"'{pattern}', and for example the photo "
            f"'{os.path.basename(paths[0])}'. Correct it."
        )
    return groups
