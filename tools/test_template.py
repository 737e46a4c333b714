"""Deploys the templates of inst/cloudformation on a moto server, and checks the policies beside them.

What moto 5.2.1 does not do is worked around here, each time with the reason, and never in the templates.
"""
import json
import os
import re
import socket
import subprocess
import sys
import time
import unittest
from importlib import resources
from pathlib import Path

import boto3
from botocore.exceptions import ClientError, EndpointConnectionError

sys.path.insert(0, str(Path(__file__).parent))
from permissions import listed, statements  # noqa: E402

FOLDER = Path(__file__).parent.parent / "inst" / "cloudformation"
STACK = (FOLDER / "starburst.yaml").read_text()
EC2 = (FOLDER / "starburst-ec2.yaml").read_text()
OUTPUTS = {
    "Bucket", "Cluster", "Subnets", "SecurityGroup", "ExecutionRole", "TaskRole", "LogGroup", "Repository",
    "InstanceProfile", "ObjectExpiryDays", "TemplateVersion",
}
# A managed policy has at most this many characters, white space not counted (AWS, November 2026).
POLICY_CHARACTERS = 6144


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Deployed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.endpoint = f"http://127.0.0.1:{free_port()}"
        cls.server = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-p", cls.endpoint.rpartition(":")[2]],
            # Without the variable moto knows no managed policy, and the role of the instances fails.
            env={**os.environ, "MOTO_IAM_LOAD_MANAGED_POLICIES": "true"},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        for name in ("cloudformation", "s3", "ecs", "ecr", "iam", "logs", "ec2", "autoscaling"):
            setattr(cls, name, cls.client(name))
        for _ in range(100):
            try:
                cls.cloudformation.describe_stacks()
                return
            except EndpointConnectionError:
                time.sleep(0.2)
        raise RuntimeError(f"moto did not answer at {cls.endpoint}")

    @classmethod
    def tearDownClass(cls):
        cls.server.terminate()
        cls.server.wait()

    @classmethod
    def client(cls, service):
        return boto3.client(
            service, endpoint_url=cls.endpoint, region_name="us-east-1",
            aws_access_key_id="AKIAMOTO", aws_secret_access_key="moto",
        )

    def deploy(self, name, template, **parameters):
        """Deploys a stack, takes it away after the test, and returns its outputs."""
        self.cloudformation.create_stack(
            StackName=name, TemplateBody=template, Capabilities=["CAPABILITY_IAM"],
            Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in parameters.items()],
        )
        self.addCleanup(self.cloudformation.delete_stack, StackName=name)
        stack = self.cloudformation.describe_stacks(StackName=name)["Stacks"][0]
        self.assertEqual(stack["StackStatus"], "CREATE_COMPLETE")
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    def deploy_with_own_network(self, name):
        outputs = self.deploy(name, STACK)
        # moto's CloudFormation cannot delete a route table, so not the VPC either.
        vpc = self.vpc_of(outputs)
        for table in self.route_tables(vpc):
            if not any(association.get("Main") for association in table["Associations"]):
                self.addCleanup(self.ec2.delete_route_table, RouteTableId=table["RouteTableId"])
        return outputs

    def vpc_of(self, outputs):
        return self.ec2.describe_subnets(SubnetIds=outputs["Subnets"].split(","))["Subnets"][0]["VpcId"]

    def route_tables(self, vpc):
        return self.ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["RouteTables"]

    def test_a_stack_with_a_network_of_its_own(self):
        out = self.deploy_with_own_network("starburst")
        self.assertEqual(set(out), OUTPUTS)
        subnets = self.ec2.describe_subnets(SubnetIds=out["Subnets"].split(","))["Subnets"]
        self.assertEqual(len({subnet["AvailabilityZone"] for subnet in subnets}), 2)
        vpc = self.vpc_of(out)
        group = self.ec2.describe_security_groups(GroupIds=[out["SecurityGroup"]])["SecurityGroups"][0]
        self.assertEqual((group["VpcId"], group["IpPermissions"]), (vpc, []))
        # moto tells of no associations of route tables that CloudFormation made, so the routes are looked at.
        routes = [
            route.get("GatewayId", "")
            for table in self.route_tables(vpc)
            for route in table["Routes"]
        ]
        self.assertTrue(any(gateway.startswith("igw-") for gateway in routes))
        self.assertTrue(any(gateway.startswith("vpce-") for gateway in routes))
        self.assertEqual(self.ec2.describe_nat_gateways()["NatGateways"], [])
        self.check_the_rest(out, "starburst")

    def test_a_stack_in_an_existing_network(self):
        vpc = self.ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
        subnet = self.ec2.create_subnet(VpcId=vpc, CidrBlock="10.1.0.0/24")["Subnet"]["SubnetId"]
        before = len(self.ec2.describe_vpcs()["Vpcs"])
        out = self.deploy(
            "starburst-b", STACK, VpcId=vpc, SubnetIds=subnet, BucketName="starburst-mine", LogRetentionDays="7"
        )
        self.assertEqual(set(out), OUTPUTS)
        self.assertEqual((out["Subnets"], out["Bucket"]), (subnet, "starburst-mine"))
        group = self.ec2.describe_security_groups(GroupIds=[out["SecurityGroup"]])["SecurityGroups"][0]
        self.assertEqual(group["VpcId"], vpc)
        self.assertEqual(len(self.ec2.describe_vpcs()["Vpcs"]), before)
        self.check_the_rest(out, "starburst-b", retention=7)

    def check_the_rest(self, out, stack, retention=30):
        """What is there with either network, under names that user-policy.json allows."""
        # moto's CloudFormation ignores public access block, ownership, lifecycle and policy of a bucket, capacity
        # providers of a cluster and the lifecycle of a repository: those are checked by cfn-lint only.
        self.s3.head_bucket(Bucket=out["Bucket"])
        cluster = self.ecs.describe_clusters(clusters=[out["Cluster"]])["clusters"][0]
        group = self.logs.describe_log_groups(logGroupNamePrefix=out["LogGroup"])["logGroups"][0]
        self.assertEqual((cluster["status"], group["retentionInDays"]), ("ACTIVE", retention))
        repository = out["Repository"].partition("/")[2]
        self.assertEqual(self.ecr.describe_repositories(repositoryNames=[repository])["repositories"][0]["repositoryUri"],
                         out["Repository"])
        execution, task = (out[name].partition("/")[2] for name in ("ExecutionRole", "TaskRole"))
        for role in (execution, task):
            self.assertIn("ecs-tasks.amazonaws.com",
                          json.dumps(self.iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]))
        policy = self.iam.get_role_policy(RoleName=task, PolicyName="work")["PolicyDocument"]
        self.assertIn(f"arn:aws:s3:::{out['Bucket']}/sessions/*", json.dumps(policy))
        profile = out["InstanceProfile"].partition("/")[2]
        self.assertEqual(len(self.iam.get_instance_profile(InstanceProfileName=profile)["InstanceProfile"]["Roles"]), 1)
        for name in (out["Bucket"], out["Cluster"], out["LogGroup"], repository, execution, task, profile):
            self.assertTrue(name.startswith("starburst-"), name)

    def test_instances_for_a_stack(self):
        out = self.deploy_with_own_network("starburst-c")
        for architecture, kind, spot, on_demand in (
            ("arm64", "c7g.4xlarge", "true", 0), ("x86_64", "c7i.4xlarge", "false", 100),
        ):
            name = f"starburst-c-ec2-{kind.replace('.', '-')}-{'spot' if spot == 'true' else 'ondemand'}"
            made = self.deploy(
                name, EC2, Stack="starburst-c", Cluster=out["Cluster"], Subnets=out["Subnets"],
                SecurityGroup=out["SecurityGroup"], InstanceProfile=out["InstanceProfile"], InstanceType=kind,
                Architecture=architecture, Spot=spot,
            )
            # moto's CloudFormation leaves the capacity provider out; its name is the stack's, so the output is there.
            self.assertEqual(made["CapacityProvider"], name)
            group = self.autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[made["AutoScalingGroup"]])
            group = group["AutoScalingGroups"][0]
            self.assertEqual((group["MinSize"], group["MaxSize"], group["DesiredCapacity"]), (0, 1000, 0))
            self.assertEqual(group["VPCZoneIdentifier"], out["Subnets"])
            policy = group["MixedInstancesPolicy"]
            self.assertEqual(policy["InstancesDistribution"]["OnDemandPercentageAboveBaseCapacity"], on_demand)
            template = policy["LaunchTemplate"]["LaunchTemplateSpecification"]["LaunchTemplateId"]
            data = self.ec2.describe_launch_template_versions(LaunchTemplateId=template)
            data = data["LaunchTemplateVersions"][0]["LaunchTemplateData"]
            self.assertEqual((data["InstanceType"], data["MetadataOptions"]["HttpTokens"]), (kind, "required"))
            image = self.ec2.describe_images(ImageIds=[data["ImageId"]])["Images"][0]
            self.assertEqual(image["Architecture"], architecture)

    def test_deleting_a_stack_takes_away_what_it_made(self):
        name = "starburst-d"
        vpc = self.ec2.create_vpc(CidrBlock="10.2.0.0/16")["Vpc"]["VpcId"]
        subnet = self.ec2.create_subnet(VpcId=vpc, CidrBlock="10.2.0.0/24")["Subnet"]["SubnetId"]
        out = self.deploy(name, STACK, VpcId=vpc, SubnetIds=subnet)
        self.cloudformation.delete_stack(StackName=name)
        with self.assertRaises(ClientError):
            self.s3.head_bucket(Bucket=out["Bucket"])
        with self.assertRaises(ClientError):
            self.iam.get_role(RoleName=out["TaskRole"].partition("/")[2])
        with self.assertRaises(ClientError):
            self.ecr.describe_repositories(repositoryNames=[out["Repository"].partition("/")[2]])
        # moto's CloudFormation leaves the cluster.
        self.ecs.delete_cluster(cluster=out["Cluster"])


class Policies(unittest.TestCase):
    def test_each_fits_into_a_managed_policy(self):
        for name in ("user-policy.json", "admin-policy.json"):
            text = (FOLDER / name).read_text()
            self.assertLess(len(re.sub(r"\s", "", text)), POLICY_CHARACTERS, name)
            self.assertEqual(json.loads(text)["Version"], "2012-10-17")

    def test_none_is_for_everything_where_the_action_knows_resources(self):
        # What AWS says of each action, as cfn-lint ships it.
        known = json.loads(resources.files("cfnlint.data.AdditionalSpecs").joinpath("Policies.json").read_text())
        # A list of tasks is one of the tasks of a container instance, or of a cluster, which the condition names.
        but = {"ecs:ListTasks"}
        for party in ("user", "admin", "worker", "execution"):
            for statement in statements(party):
                for action in listed(statement["Action"]):
                    service, _, name = action.partition(":")
                    self.assertIn(name.lower(), known[service]["Actions"], f"{action} does not exist")
                    if "*" in listed(statement["Resource"]) and action not in but:
                        self.assertNotIn("Resources", known[service]["Actions"][name.lower()], f"{party}: {action}")
                    if action in but:
                        self.assertIn("ecs:cluster", json.dumps(statement["Condition"]))

    def test_a_name_of_a_statement_is_letters_and_figures_and_used_once(self):
        names = [(party, statement["Sid"]) for party in ("user", "admin") for statement in statements(party)]
        self.assertEqual(len(names), len(set(names)))
        for _, sid in names:
            self.assertRegex(sid, "^[A-Za-z0-9]+$")


if __name__ == "__main__":
    unittest.main()
