"""Reading files that may be damaged, hostile or no files at all: what is wrong with one becomes one sentence."""

from jaxdc.reading.arrays import Archive as Archive
from jaxdc.reading.arrays import kind_of_arrays as kind_of_arrays
from jaxdc.reading.arrays import read_array as read_array
from jaxdc.reading.bounds import check_expansion as check_expansion
from jaxdc.reading.bounds import most_bytes as most_bytes
from jaxdc.reading.files import check_regular as check_regular
from jaxdc.reading.files import parse_json as parse_json
from jaxdc.reading.files import read_bytes as read_bytes
from jaxdc.reading.files import read_json as read_json
from jaxdc.reading.files import read_lines as read_lines
