"""Runs an instance in moto, with the tags by which the file of packaging/prometheus/discovery filters.

Arguments: the server's URL, the region, and the mechanism of the file as JSON.
"""

import json
import sys

import boto3

url, region, mechanism = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
client = boto3.client("ec2", region_name=region, endpoint_url=url, aws_access_key_id="x", aws_secret_access_key="x")
tags = {"Name": "login-1"}
for rule in mechanism.get("filters", []):
    if rule["name"].startswith("tag:"):
        tags[rule["name"].removeprefix("tag:")] = rule["values"][0]
image = client.describe_images()["Images"][0]["ImageId"]


def run(named):
    """One instance with these tags."""
    wanted = [{"ResourceType": "instance", "Tags": [{"Key": key, "Value": value} for key, value in named.items()]}]
    client.run_instances(ImageId=image, MinCount=1, MaxCount=1, TagSpecifications=wanted)


run(tags)
# Not one of ours: it must not be found.
run({"Name": "other"})
