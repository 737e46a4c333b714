"""The AWS that the tests talk to, and what they ask of it beside the package.

usage: aws-server.py serve FILE PID        moto, Service Quotas and a service that denies; their addresses go into FILE,
                                           and all of it ends with the process PID
       aws-server.py network ENDPOINT      makes a VPC with two subnets, and prints their ids
       aws-server.py objects ENDPOINT BUCKET COUNT   writes objects, some with several versions
       aws-server.py definition ENDPOINT ROLE        registers a task definition
       aws-server.py task ENDPOINT CLUSTER SESSION   starts a task, and prints its id
       aws-server.py image ENDPOINT REPOSITORY TAG   pushes an image
       aws-server.py lines ENDPOINT GROUP STREAM COUNT    writes lines of a log
       aws-server.py left ENDPOINT         prints what is there
"""
import hashlib
import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

REGION = "eu-central-1"


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def body(self):
        return self.rfile.read(int(self.headers.get("content-length") or 0)).decode()

    def answer(self, text, status=200):
        self.send_response(status)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())


class Quotas(Answers):
    """Limits of 6 vCPU. The code is no default, and a request stays as it is."""

    requests = []

    def do_POST(self):
        operation = self.headers["x-amz-target"].partition(".")[2]
        asked = json.loads(self.body())
        code = asked.get("QuotaCode")
        if operation == "RequestServiceQuotaIncrease":
            request = {
                "Id": f"request-{len(self.requests) + 1}", "QuotaCode": code, "DesiredValue": asked["DesiredValue"],
                "Status": "PENDING", "Created": 1795550000, "ServiceCode": asked["ServiceCode"],
            }
            self.requests.append(request)
            return self.answer(json.dumps({"RequestedQuota": request}))
        if operation == "ListRequestedServiceQuotaChangeHistoryByQuota":
            return self.answer(json.dumps({"RequestedQuotas": [r for r in self.requests if r["QuotaCode"] == code]}))
        self.answer(json.dumps({"Quota": {"QuotaCode": code, "Value": 6.0, "Adjustable": True}}))


class Ecs(Answers):
    """moto's ECS, with what it tells wrongly of tasks put right: sizes are strings, and a task has one of its own."""

    moto = None

    def do_POST(self):
        from urllib.error import HTTPError
        from urllib.request import Request, urlopen

        headers = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "content-length")}
        try:
            with urlopen(Request(self.moto, self.body().encode(), headers)) as told:
                text, status = told.read().decode(), told.status
        except HTTPError as error:
            text, status = error.read().decode(), error.code
        if self.headers["x-amz-target"].endswith((".DescribeTasks", ".StopTask")) and status == 200:
            told = json.loads(text)
            for task in told.get("tasks") or [told["task"]]:
                task["cpu"] = "1024"
                for container in task["containers"]:
                    container.update(cpu=str(container.get("cpu", 0)), memory=str(container.get("memory", 0)))
            text = json.dumps(told)
        self.answer(text, status)


class Denies(Answers):
    """Everybody may ask who they are, and nobody may do anything else."""

    def do_POST(self):
        body = self.body()
        if "Action=GetCallerIdentity" in body:
            return self.answer(
                "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::111122223333:user/ann</Arn>"
                "<UserId>A</UserId><Account>111122223333</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"
            )
        self.answer(
            "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>User: "
            "arn:aws:iam::111122223333:user/ann is not authorized to perform: cloudformation:DescribeStacks on resource: "
            "arn:aws:cloudformation:eu-west-1:111122223333:stack/starburst/* because no identity-based policy allows the "
            "cloudformation:DescribeStacks action</Message></Error><RequestId>1</RequestId></ErrorResponse>", 403
        )


def serve(file, parent):
    os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"
    from moto.server import ThreadedMotoServer

    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), handler) for handler in (Quotas, Denies, Ecs)]
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    ports = [moto.get_host_and_port()[1], *(server.server_port for server in servers)]
    Ecs.moto = f"http://127.0.0.1:{ports[0]}/"
    with open(file + ".new", "w") as out:
        out.writelines(f"http://127.0.0.1:{port}\n" for port in ports)
        out.write(f"{os.getpid()}\n")
    os.rename(file + ".new", file)
    while True:
        time.sleep(1)
        try:
            os.kill(int(parent), 0)
        except OSError:
            return


def client(service, endpoint):
    import boto3

    return boto3.client(service, endpoint_url=endpoint, region_name=REGION)


def network(endpoint):
    ec2 = client("ec2", endpoint)
    vpc = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.1.{place}.0/24")["Subnet"]["SubnetId"] for place in range(2)
    ]
    print(vpc, *subnets)


def objects(endpoint, bucket, count):
    s3 = client("s3", endpoint)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for place in range(int(count)):
        s3.put_object(Bucket=bucket, Key=f"sessions/s{place % 3}/{place}", Body=b"x")
    for _ in range(2):
        s3.put_object(Bucket=bucket, Key="sessions/s0/0", Body=b"y")
    s3.delete_object(Bucket=bucket, Key="sessions/s1/1")
    s3.create_multipart_upload(Bucket=bucket, Key="sessions/s2/never-ended")


def definition(endpoint, role):
    ecs = client("ecs", endpoint)
    ecs.register_task_definition(
        family="starburst-test", executionRoleArn=role, cpu="1024", memory="2048",
        containerDefinitions=[{"name": "worker", "image": "x", "memory": 128}],
    )
    ecs.register_task_definition(family="other", containerDefinitions=[{"name": "a", "image": "x", "memory": 128}])


def task(endpoint, cluster, session):
    ecs, ec2 = client("ecs", endpoint), client("ec2", endpoint)
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    started = ecs.run_task(
        cluster=cluster, taskDefinition="starburst-test", launchType="FARGATE", startedBy=session,
        networkConfiguration={"awsvpcConfiguration": {"subnets": [subnet]}},
    )
    print(started["tasks"][0]["taskArn"].rpartition("/")[2])


def image(endpoint, repository, tag):
    manifest = {
        "schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {"mediaType": "x", "size": 1, "digest": f"sha256:{tag}"}, "layers": [],
    }
    text = json.dumps(manifest)
    client("ecr", endpoint).put_image(
        repositoryName=repository.partition("/")[2], imageTag=tag, imageManifest=text,
        imageDigest=f"sha256:{hashlib.sha256(text.encode()).hexdigest()}",
    )


def lines(endpoint, group, stream, count):
    logs = client("logs", endpoint)
    logs.create_log_stream(logGroupName=group, logStreamName=stream)
    start = int(time.time() * 1000) - 60_000
    events = [{"timestamp": start + place, "message": f"line {place}"} for place in range(int(count))]
    logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)


def left(endpoint):
    print("buckets", len(client("s3", endpoint).list_buckets()["Buckets"]))
    print("stacks", len(client("cloudformation", endpoint).describe_stacks()["Stacks"]))
    print("repositories", len(client("ecr", endpoint).describe_repositories()["repositories"]))
    ecs = client("ecs", endpoint)
    print("definitions", *(arn.rpartition("/")[2] for arn in ecs.list_task_definitions()["taskDefinitionArns"]))


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
