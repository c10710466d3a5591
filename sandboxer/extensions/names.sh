# Whether one of the fleet's sandboxes here has this name. A record's keys are in the order of the alphabet, so that none
# of its other names is followed by its networks.
has_name() { grep -q -s -F "\"name\":\"$2\",\"networks\":" "$1"/*/record.json; } # folder of the fleet, name
