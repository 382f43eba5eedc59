#!/bin/sh
# pyarrow 26.0.1: local times of a zone after 2037 lose its summer time.
#
# Expected: pyarrow.compute.local_timestamp shows what the clocks of the zone show, in any year, as zoneinfo does.
# Seen: until 2037 both agree. From 2038 Arrow leaves out the summer time of Berlin and New York, so local times are an
# hour early from spring to autumn, and the date of the hour after midnight is the day before. The Python value of the
# same element (as_py), which goes through zoneinfo, is right, so one array has two local times.
# A file of zones lists the changes up to 2037 and ends in a rule for the years after it; the rule seems not to be read.
#
# Prints one line for each zone and year, and fails if any of them changes.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install -q --disable-pip-version-check "pyarrow==26.0.1" "tzdata==2025.2"
"$work/venv/bin/python" - > "$work/seen" <<'PY'
from datetime import datetime, timezone
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

for zone in ("Europe/Berlin", "America/New_York"):
    for year in (2037, 2038, 2060):
        moment = datetime(year, 7, 1, 22, 30, tzinfo=timezone.utc)
        moments = pa.array([moment], pa.timestamp("us", zone))
        arrow = pc.local_timestamp(moments)[0].as_py()
        python = moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        element = moments[0].as_py().replace(tzinfo=None)
        print(zone, year, "arrow", arrow, "zoneinfo", python, "element", element)
PY
cat "$work/seen"
cat > "$work/expected" <<'OUT'
Europe/Berlin 2037 arrow 2037-07-02 00:30:00 zoneinfo 2037-07-02 00:30:00 element 2037-07-02 00:30:00
Europe/Berlin 2038 arrow 2038-07-01 23:30:00 zoneinfo 2038-07-02 00:30:00 element 2038-07-02 00:30:00
Europe/Berlin 2060 arrow 2060-07-01 23:30:00 zoneinfo 2060-07-02 00:30:00 element 2060-07-02 00:30:00
America/New_York 2037 arrow 2037-07-01 18:30:00 zoneinfo 2037-07-01 18:30:00 element 2037-07-01 18:30:00
America/New_York 2038 arrow 2038-07-01 17:30:00 zoneinfo 2038-07-01 18:30:00 element 2038-07-01 18:30:00
America/New_York 2060 arrow 2060-07-01 17:30:00 zoneinfo 2060-07-01 18:30:00 element 2060-07-01 18:30:00
OUT
diff "$work/expected" "$work/seen"
