"""Makes a configuration with which a real Prometheus finds a simulated host out of a file of packaging/prometheus/discovery.

Only what belongs to a place is changed: addresses of servers and of the host, credentials, and the time between scrapes. Order on
standard input, as JSON: {"file": PATH, "key": "…_sd_configs", "port": "PORT", "set": {FIELD: VALUE}, "relabel": [RULE]}.
Prints {"config": CONFIGURATION, "first": THE FIRST MECHANISM AS IT STANDS IN THE FILE}.
"""

import json
import sys

import yaml

CREDENTIALS = ["tls_config", "basic_auth", "authorization", "bearer_token_file", "oauth2"]


def main():
    """Prints the configuration."""
    order = json.load(sys.stdin)
    with open(order["file"], encoding="utf-8") as text:
        jobs = yaml.safe_load(text.read().replace("9101", order["port"]))["scrape_configs"]
    first = None
    for job in jobs:
        for name in [*CREDENTIALS, "scheme"]:
            job.pop(name, None)
        job.update(scrape_interval="1s", scrape_timeout="1s")
        mechanisms = job[order["key"]]
        first = first or json.loads(json.dumps(mechanisms[0]))
        for mechanism in mechanisms:
            for name in CREDENTIALS:
                mechanism.pop(name, None)
            mechanism.update(order["set"])
        job["relabel_configs"] = job.get("relabel_configs", []) + order["relabel"]
    print(json.dumps({"config": {"scrape_configs": jobs}, "first": first}))


main()
