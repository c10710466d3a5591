# Whether one of the fleet's sandboxes here has this name. A record's keys are in alphabetical order, so no other `name`
# in it is followed by `networks`.
has_name() { grep -q -s -F "\"name\":\"$2\",\"networks\":" "$1"/*/record.json; } # folder of the fleet, name
