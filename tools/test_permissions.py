"""Each kind of violation is found by permissions.py, and record-proxy.py writes down what passes it."""
import contextlib
import importlib.util
import io
import json
import tempfile
import threading
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3


def load(name):
    spec = importlib.util.spec_from_file_location(name.replace("-", "_"), Path(__file__).parent / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


permissions, proxy = load("permissions"), load("record-proxy")


def call(service, operation, **body):
    return {"service": service, "operation": operation, "body": body}


class Shapes(unittest.TestCase):
    def assert_wrong(self, made, *texts):
        found = permissions.wrong(made)
        self.assertEqual(len(found), len(texts), found)
        for text in texts:
            self.assertTrue(any(text in line for line in found), (text, found))

    def test_a_call_that_aws_takes_is_not_wrong(self):
        network = {"awsvpcConfiguration": {"subnets": ["subnet-1"], "assignPublicIp": "ENABLED"}}
        self.assert_wrong(call("ecs", "RunTask", taskDefinition="starburst-a:1", count=10, networkConfiguration=network))
        self.assert_wrong(call("sts", "GetCallerIdentity", Version="2011-06-15"))

    def test_an_operation_or_service_that_does_not_exist(self):
        self.assert_wrong(call("ecs", "RunTasks"), "ecs:RunTasks does not exist")
        self.assert_wrong(call("esc", "RunTask"), "does not exist")

    def test_a_missing_member(self):
        self.assert_wrong(call("ecs", "RunTask", count=1), "RunTask.taskDefinition is missing")

    def test_an_unknown_member_also_deep_inside(self):
        self.assert_wrong(call("ecs", "RunTask", taskDefinition="a", taskCount=1), "RunTask.taskCount is unknown")
        self.assert_wrong(
            call("ecs", "RunTask", taskDefinition="a", overrides={"containerOverrides": [{"Name": "worker"}]}),
            "overrides.containerOverrides[0].Name is unknown",
        )

    def test_a_wrong_type(self):
        self.assert_wrong(call("ecs", "RunTask", taskDefinition="a", count="1"), "count is '1', which is no integer")
        self.assert_wrong(call("ecs", "RunTask", taskDefinition="a", count=True), "no integer")
        self.assert_wrong(call("ecs", "RunTask", taskDefinition=None), "no string")

    def test_a_value_that_is_not_in_the_enumeration(self):
        self.assert_wrong(call("ecs", "RunTask", taskDefinition="a", launchType="LOCAL"), "is 'LOCAL', not one of")

    def test_lengths_and_sizes_and_numbers(self):
        self.assert_wrong(call("servicequotas", "GetServiceQuota", ServiceCode="", QuotaCode="L-3032A538"), "below 1")
        self.assert_wrong(call("servicequotas", "GetServiceQuota", ServiceCode="a" * 64, QuotaCode="L-1"), "64 is above 63")
        self.assert_wrong(call("logs", "GetLogEvents", logStreamName="a", limit=10001), "10001 is above 10000")
        self.assert_wrong(call("ecr", "DescribeImages", repositoryName="aa", imageIds=[]), "0 is below 1")

    def test_the_query_protocol(self):
        good = {"StackName": "starburst", "Parameters.member.1.ParameterKey": "VpcId",
                "Parameters.member.1.ParameterValue": "vpc-1", "Capabilities.member.1": "CAPABILITY_IAM"}
        self.assert_wrong(call("cloudformation", "CreateStack", **good))
        self.assert_wrong(call("cloudformation", "CreateStack", **{**good, "Capabilities.member.1": "IAM"}), "not one of")
        self.assert_wrong(call("cloudformation", "CreateStack", **{**good, "Parameters.member.1.Key": "a"}), "Key is unknown")
        self.assert_wrong(call("ec2", "DescribeSpotPriceHistory", **{"InstanceType.1": "c7g.large", "MaxResults": "100"}))
        self.assert_wrong(call("ec2", "DescribeSpotPriceHistory", MaxResults="many"), "no integer")


class Policies(unittest.TestCase):
    def found(self, **calls):
        return list(permissions.too_little_or_much(calls))

    def test_a_call_that_is_not_allowed(self):
        self.assertIn("worker: ecs:RegisterTaskDefinition is called, and not allowed",
                      self.found(worker=[call("ecs", "RegisterTaskDefinition")]))

    def test_an_action_that_is_never_called(self):
        self.assertIn("user: pricing:GetProducts is allowed, and never called", self.found(user=[call("ecs", "RunTask")]))

    def test_an_administrator_is_a_user_too(self):
        found = self.found(admin=[call("ecs", "RunTask")])
        self.assertNotIn("admin: ecs:RunTask is called, and not allowed", found)
        self.assertIn("admin: cloudformation:DeleteStack is allowed, and never called", found)

    def test_what_is_allowed_through_cloudformation_only_is_not_allowed_to_be_called(self):
        self.assertIn("admin: ec2:DeleteVpc is called, and not allowed", self.found(admin=[call("ec2", "DeleteVpc")]))

    def test_operations_that_are_not_named_like_their_actions(self):
        for made, needed in (
            (call("s3", "HeadBucket"), {"s3:ListBucket"}),
            (call("s3", "UploadPart"), {"s3:PutObject"}),
            (call("s3", "DeleteObjects", VersionId="several"), {"s3:DeleteObjectVersion"}),
            (call("ecs", "RunTask", tags=[{}]), {"ecs:RunTask", "iam:PassRole", "ecs:TagResource"}),
            (call("service-quotas", "GetServiceQuota"), {"servicequotas:GetServiceQuota"}),
            (call("sts", "GetCallerIdentity"), set()),
        ):
            self.assertEqual(permissions.actions(made), needed)

    def test_calls_of_all_that_a_worker_may_do_leave_nothing_to_say(self):
        made = [call("s3", name) for name in ("GetObject", "PutObject", "DeleteObject", "AbortMultipartUpload", "ListObjectsV2")]
        made += [call("ecs", name) for name in ("DescribeTasks", "StopTask", "ListTasks")]
        self.assertEqual(self.found(worker=[*made, call("ecs", "RunTask", tags=[{}])]), [])

    def test_check_ends_with_1_and_names_the_line(self):
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file, contextlib.redirect_stdout(io.StringIO()) as said:
            print(json.dumps(call("ecs", "RunTask")), file=file, flush=True)
            self.assertEqual(permissions.check([file.name]), 1)
        self.assertIn(f"{file.name}:1: ecs:RunTask.taskDefinition is missing", said.getvalue())

    def test_the_calls_of_a_worker_are_held_against_its_role_in_anybodys_record(self):
        lines = [call("ecs", "ListTaskDefinitions"), {**call("ecs", "ListTaskDefinitions"), "party": "worker"},
                 {**call("s3", "GetObject"), "party": "worker"}]
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file, contextlib.redirect_stdout(io.StringIO()) as said:
            for line in lines:
                print(json.dumps(line), file=file, flush=True)
            self.assertEqual(permissions.check([file.name]), 1)
        self.assertEqual(said.getvalue().splitlines(), [
            "worker: ecs:ListTaskDefinitions is called, and not allowed",
            "3 calls, 2 of them by a party of their own, 1 violations",
        ])

    def test_the_table_in_the_vignette_is_that_of_the_policies(self):
        text = permissions.VIGNETTE.read_text()
        self.assertEqual(permissions.with_table(text), text, "run tools/permissions.py table")


class Proxy(unittest.TestCase):
    def setUp(self):
        class Echo(BaseHTTPRequestHandler):
            def do_any(self):
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                content = b"{}" if "X-Amz-Target" in self.headers else b"<CreateStackResponse><CreateStackResult/></CreateStackResponse>"
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(b"" if self.command == "HEAD" else content)

            do_POST = do_PUT = do_GET = do_HEAD = do_DELETE = do_any

            def log_message(self, *_):
                pass

        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name) / "calls.jsonl"
        upstream = self.serve(ThreadingHTTPServer(("127.0.0.1", 0), Echo))
        self.address = self.serve(proxy.server(upstream, self.path))

    def serve(self, server):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return f"http://127.0.0.1:{server.server_port}"

    def client(self, service):
        return boto3.client(service, endpoint_url=self.address, region_name="us-east-1",
                            aws_access_key_id="AKIATEST", aws_secret_access_key="test")

    def test_what_passes_is_written_down_in_a_form_that_the_check_takes(self):
        self.client("ecs").run_task(taskDefinition="starburst-a", count=2)
        self.client("cloudformation").create_stack(
            StackName="starburst", Parameters=[{"ParameterKey": "VpcId", "ParameterValue": ""}])
        s3 = self.client("s3")
        s3.head_bucket(Bucket="b")
        s3.put_object(Bucket="b", Key="sessions/a b", Body=b"1")
        s3.list_objects_v2(Bucket="b", Prefix="sessions/")
        s3.delete_objects(Bucket="b", Delete={"Objects": [{"Key": "a", "VersionId": "1"}]})
        calls = [json.loads(line) for line in self.path.read_text().splitlines()]
        self.assertEqual(
            [f"{made['service']}:{made['operation']}" for made in calls],
            ["ecs:RunTask", "cloudformation:CreateStack", "s3:HeadBucket", "s3:PutObject", "s3:ListObjectsV2",
             "s3:DeleteObjects"],
        )
        self.assertEqual(calls[0]["body"]["count"], 2)
        self.assertNotIn("party", calls[0])
        headers = {"Authorization": "Credential=k/20260101/us-east-1/ecs/aws4_request", "X-Amz-Target": "a.ListTasks"}
        made = proxy.record("POST", "/", {**headers, "X-Amz-User-Agent": "a/1 exec-env/AWS_ECS_FARGATE"}, b"{}")
        self.assertEqual(made, {**call("ecs", "ListTasks"), "party": "worker"})
        self.assertEqual(calls[3]["body"], {"Bucket": "b", "Key": "sessions/a b"})
        self.assertEqual(permissions.actions(calls[5]), {"s3:DeleteObjectVersion"})
        self.assertEqual([line for made in calls for line in permissions.wrong(made)], [])


if __name__ == "__main__":
    unittest.main()
