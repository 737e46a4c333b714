"""Compares what the code asks of AWS with what AWS knows and with what the policies allow.

usage: permissions.py check [PARTY=]RECORD...    PARTY is user, admin or worker
       permissions.py table                      writes the table in vignettes/permissions.Rmd

A record is a file of JSON lines {"service", "operation", "body"}, as the stand-ins of the tests and record-proxy.py
write them. Each body must be one that botocore's model of the service takes. With a party, its policy must allow
each call, and each action that the policy allows must be called. A line may name its own "party": the policy of that
one must allow the call. So the calls of workers are held against the task role, whoever else is in the record.
"""
import json
import re
import sys
from pathlib import Path

import botocore.session
import yaml
from botocore.exceptions import UnknownServiceError
from botocore.model import OperationNotFoundError

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "inst" / "cloudformation"
VIGNETTE = ROOT / "vignettes" / "permissions.Rmd"
BEGIN, END = "<!-- begin: tools/permissions.py table -->", "<!-- end -->"

# Where botocore's name of a service is not the one it signs with.
MODELS = {"servicequotas": "service-quotas"}

# The actions that an operation needs, where they are not its own name.
STACK_TOO = ["iam:PassRole", "iam:CreateServiceLinkedRole", "ssm:GetParameters"]
ACTIONS = {
    "s3:HeadBucket": ["s3:ListBucket"],
    "s3:HeadObject": ["s3:GetObject"],
    "s3:ListObjectsV2": ["s3:ListBucket"],
    "s3:ListObjectVersions": ["s3:ListBucketVersions"],
    "s3:ListMultipartUploads": ["s3:ListBucketMultipartUploads"],
    "s3:CreateMultipartUpload": ["s3:PutObject"],
    "s3:UploadPart": ["s3:PutObject"],
    "s3:CompleteMultipartUpload": ["s3:PutObject"],
    "s3:DeleteObjects": ["s3:DeleteObject"],
    "sts:GetCallerIdentity": [],  # Everybody may.
    "ecs:RunTask": ["ecs:RunTask", "iam:PassRole"],
    "ecs:RegisterTaskDefinition": ["ecs:RegisterTaskDefinition", "iam:PassRole"],
    # What CloudFormation does in the name of who deploys has no record; statements with aws:CalledVia allow it.
    "cloudformation:CreateStack": ["cloudformation:CreateStack", *STACK_TOO],
    "cloudformation:UpdateStack": ["cloudformation:UpdateStack", *STACK_TOO],
}
# Registries are spoken to by their own protocol, of which no record tells: ECR wants these for it.
BY_REGISTRY = {
    "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:InitiateLayerUpload",
    "ecr:UploadLayerPart", "ecr:CompleteLayerUpload", "ecr:PutImage",
}
VERSIONED = {"s3:DeleteObject", "s3:GetObject"}

session = botocore.session.get_session()
models = {}


def model(service):
    name = MODELS.get(service, service)
    if name not in models:
        models[name] = session.get_service_model(name)
    return models[name]


def actions(call):
    """The IAM actions that a call needs."""
    name = f"{call['service'].replace('service-quotas', 'servicequotas')}:{call['operation']}"
    needed = list(ACTIONS.get(name, [name]))
    if call["body"].get("VersionId"):
        needed = [f"{action}Version" if action in VERSIONED else action for action in needed]
    if call["service"] == "ecs" and call["body"].get("tags"):
        needed.append("ecs:TagResource")
    return set(needed)


# Shapes.

NUMBERS = {"integer", "long", "float", "double"}


def violations(shape, value, where):
    """What AWS would not take of a value, one line each."""
    kind = shape.type_name
    python = {
        "structure": dict, "map": dict, "list": list, "string": str, "character": str, "blob": str, "boolean": bool,
        "integer": int, "long": int, "float": (int, float), "double": (int, float), "timestamp": (str, int, float),
    }[kind]
    if kind == "structure" and shape.is_document_type:
        return
    if not isinstance(value, python) or (isinstance(value, bool) and kind != "boolean"):
        yield f"{where} is {value!r}, which is no {kind}"
        return
    if kind == "structure":
        known = {member.serialization.get("name", name): (name, member) for name, member in shape.members.items()}
        for name in shape.required_members:
            if shape.members[name].serialization.get("name", name) not in value:
                yield f"{where}.{name} is missing"
        for name, member in value.items():
            if name in known:
                yield from violations(known[name][1], member, f"{where}.{name}")
            else:
                yield f"{where}.{name} is unknown"
    elif kind == "list":
        for i, member in enumerate(value):
            yield from violations(shape.member, member, f"{where}[{i}]")
    elif kind == "map":
        for key, member in value.items():
            yield from violations(shape.key, key, f"{where} key {key!r}")
            yield from violations(shape.value, member, f"{where}[{key!r}]")
    elif shape.metadata.get("enum") and value not in shape.metadata["enum"]:
        yield f"{where} is {value!r}, not one of {', '.join(shape.metadata['enum'][:20])}"
    if kind in ("boolean", "timestamp", "structure"):
        return
    size = value if kind in NUMBERS else len(value)
    if size < shape.metadata.get("min", size):
        yield f"{where} is {value!r}: {size} is below {shape.metadata['min']}"
    if size > shape.metadata.get("max", size):
        yield f"{where}: {size} is above {shape.metadata['max']}"


def nested(form, shape, flat=False):
    """The form of a Query request as a value of a shape. What fits nowhere is kept, so that it is found unknown."""
    kind = shape.type_name
    if kind == "structure":
        groups = {}
        for name, value in form.items():
            head, _, rest = name.partition(".")
            groups.setdefault(head, {})[rest] = value
        known = {}
        for name, member in shape.members.items():
            name = member.serialization.get("name", name)
            # EC2 writes names with a capital, and lists without "member".
            known[member.serialization.get("queryName", name[0].upper() + name[1:]) if flat else name] = name, member
        return {
            known[head][0] if head in known else head: nested(group, known[head][1], flat) if head in known else group
            for head, group in groups.items()
        }
    if kind == "list":
        if not flat and not shape.serialization.get("flattened"):
            form = {name.partition(".")[2]: value for name, value in form.items() if name}
        items = {}
        for name, value in form.items():
            number, _, rest = name.partition(".")
            if number:
                items.setdefault(int(number), {})[rest] = value
        return [nested(items[number], shape.member, flat) for number in sorted(items)]
    text = form.get("", "")
    if kind == "boolean" and text in ("true", "false"):
        return text == "true"
    if kind in NUMBERS and re.fullmatch(r"-?\d+(\.\d+)?", text):
        return float(text) if "." in text else int(text)
    return text


def wrong(call):
    """What is wrong with one call, one line each."""
    name = f"{call['service']}:{call['operation']}"
    try:
        service = model(call["service"].replace("service-quotas", "servicequotas"))
        shape = service.operation_model(call["operation"]).input_shape
    except (UnknownServiceError, OperationNotFoundError):
        return [f"{name} does not exist"]
    body, protocol = call["body"], service.metadata["protocol"]
    if protocol.startswith("rest"):
        return []  # Records of S3 name the operation and what it is about only.
    if protocol in ("query", "ec2"):
        body = {key: value for key, value in body.items() if key != "Version"}
        body = nested(body, shape, protocol == "ec2") if shape else body
    if shape is None:
        return [f"{name} takes no {member}" for member in body]
    return list(violations(shape, body, name))


# Policies.


class Template(yaml.SafeLoader):
    """YAML in which !Sub and other tags are left as the text or list behind them."""


Template.add_multi_constructor("!", lambda loader, _, node: (
    loader.construct_sequence(node) if isinstance(node, yaml.SequenceNode) else loader.construct_scalar(node)
))


def listed(value):
    return value if isinstance(value, list) else [value]


def statements(party):
    if party in ("user", "admin"):
        return json.loads((FOLDER / f"{party}-policy.json").read_text())["Statement"]
    resources = yaml.load((FOLDER / "starburst.yaml").read_text(), Template)["Resources"]
    if party == "worker":
        return resources["TaskPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    return resources["ExecutionRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]


def by_cloudformation(statement):
    return "aws:CalledVia" in json.dumps(statement.get("Condition", {}))


def allowed(party, direct_only=True):
    return {
        action
        for statement in statements(party) if not (direct_only and by_cloudformation(statement))
        for action in listed(statement["Action"])
    }


def too_little_or_much(calls):
    """`calls` has a list of calls by party. An administrator has the policy of a user too."""
    needed = {party: set().union(*map(actions, made)) for party, made in calls.items()}
    for party, wanted in needed.items():
        may = allowed(party) | (allowed("user") if party == "admin" else set())
        for action in sorted(wanted - may):
            yield f"{party}: {action} is called, and not allowed"
        used = wanted | (needed.get("admin", set()) if party == "user" else set())
        for action in sorted(allowed(party) - used - BY_REGISTRY):
            yield f"{party}: {action} is allowed, and never called"


def check(arguments):
    found, calls, count, own = set(), {}, 0, 0
    for argument in arguments:
        party, _, path = argument.rpartition("=")
        if party not in ("", "user", "admin", "worker"):
            sys.exit(f"{party} is no party: use user, admin or worker")
        for number, line in enumerate(Path(path).read_text().splitlines(), 1):
            call = json.loads(line)
            count += 1
            found.update(f"{path}:{number}: {text}" for text in wrong(call))
            if call.get("party"):
                own += 1
                missing = actions(call) - allowed(call["party"])
                found.update(f"{call['party']}: {action} is called, and not allowed" for action in missing)
            if call.get("party", party) == party and party:
                calls.setdefault(party, []).append(call)
    found.update(too_little_or_much(calls))
    for line in sorted(found):
        print(line)
    print(f"{count} calls, {own} of them by a party of their own, {len(found)} violations")
    return 1 if found or not count else 0


# The table.

PARTIES = {
    "user": "user", "admin": "administrator", "worker": "worker (task role)", "execution": "ECS (execution role)",
}


def words(sid):
    """MakeTheBucket: make the bucket."""
    parts = re.findall(r"[A-Z][A-Z0-9]+(?![a-z])|[A-Z][a-z0-9]*", sid)
    return " ".join(part if part.isupper() and len(part) > 1 else part.lower() for part in parts)


def table():
    lines = ["| who | what for | actions | on |", "|---|---|---|---|"]
    for party, name in PARTIES.items():
        for statement in statements(party):
            who = f"{name}, through CloudFormation" if by_cloudformation(statement) else name
            code = [" ".join(f"`{text}`" for text in listed(statement[key])) for key in ("Action", "Resource")]
            lines.append(f"| {who} | {words(statement['Sid'])} | {code[0]} | {code[1]} |")
    return "\n".join(lines)


def with_table(text):
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    if sys.argv[1:2] == ["check"] and len(sys.argv) > 2:
        sys.exit(check(sys.argv[2:]))
    if sys.argv[1:] != ["table"]:
        sys.exit(__doc__)
    VIGNETTE.write_text(with_table(VIGNETTE.read_text()))
