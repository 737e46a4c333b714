#!/usr/bin/env bash
# From an empty account to an empty account, without AWS: moto stands in for CloudFormation, IAM, ECR, logs and STS, our
# own stand-in for ECS, quotas, prices and S3, and runs a real worker process for each task.
# usage: demo-aws-standin.sh [folder with the installed package]
# Fails when anything does not come out as it should, or is left behind.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PATH:$HOME/.cargo/bin"
work=$PWD/target/demo-aws
mkdir -p "$work"

if [ $# -gt 0 ]; then
  library=$(cd "$1" && pwd)
else
  bash tools/setup.sh demo
  library=$work/library
  mkdir -p "$library"
  printf 'Building and installing starburst (the first time takes some minutes) ...\n'
  R CMD INSTALL --no-docs --no-test-load --library="$library" . >"$work/install.log" 2>&1 ||
    { tail -n 40 "$work/install.log" >&2; exit 1; }
fi
standin=${STARBURST_AWS_STANDIN:-}
if [ -z "$standin" ]; then
  cargo build --quiet --locked --workspace --features starburst-testkit/aws --bins
  standin=target/debug/starburst-aws-standin
fi
python=${STARBURST_MOTO_PYTHON:-}
if [ -z "$python" ]; then
  python3 -m venv "$work/python"
  "$work/python/bin/pip" install -q 'moto[server]==5.2.1'
  python=$work/python/bin/python
fi

free_port() { "$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
moto_port=$(free_port) s3_port=$(free_port) ecs_port=$(free_port)
moto=http://127.0.0.1:$moto_port ecs=http://127.0.0.1:$ecs_port s3=http://127.0.0.1:$s3_port

export AWS_ACCESS_KEY_ID=AKIASTARBURSTTESTKIT AWS_SECRET_ACCESS_KEY=starburst-testkit-secret-of-nobody
export AWS_REGION=us-east-1 AWS_EC2_METADATA_DISABLED=true
unset AWS_PROFILE AWS_SESSION_TOKEN AWS_DEFAULT_REGION
MOTO_IAM_LOAD_MANAGED_POLICIES=true "$python" -m moto.server -p "$moto_port" >"$work/moto.log" 2>&1 &
moto_pid=$!
cleanup() {
  kill "$moto_pid" 2>/dev/null || true
  if [ -n "${standin_PID:-}" ]; then exec {to_standin}>&-; fi
  rm -rf "$scratch"
}
scratch=$(mktemp -d)
trap cleanup EXIT
for _ in $(seq 200); do
  if curl -sf -o /dev/null "$moto/moto-api/data.json"; then break; fi
  sleep 0.1
done

# Short notices, so that an interruption is over in seconds.
coproc standin_ {
  exec "$standin" --port "$ecs_port" --s3 --s3-port "$s3_port" --moto "$moto" --logs-endpoint "$moto" \
    --record "$work/record.jsonl" --spot-notice-ms 3000 --stop-timeout-ms 4000 --ec2-delay-ms 300 --ec2-idle-ms 500 \
    --env "R_LIBS=$library" --env "AWS_ACCESS_KEY_ID=$AWS_ACCESS_KEY_ID" \
    --env "AWS_SECRET_ACCESS_KEY=$AWS_SECRET_ACCESS_KEY" --env AWS_EC2_METADATA_DISABLED=true \
    --env "AWS_ENDPOINT_URL=$ecs" --env "AWS_ENDPOINT_URL_S3=$s3" \
    -- "$library/starburst/bin/starburst-worker" --r-home "$(R RHOME)" --scripts "$library/starburst/worker" \
    2>"$work/standin.log"
}
standin_PID=$standin__PID
exec {to_standin}>&"${standin_[1]}"
read -r _ <&"${standin_[0]}" && read -r _ <&"${standin_[0]}" || { cat "$work/standin.log"; exit 1; }

export AWS_ENDPOINT_URL=$moto AWS_ENDPOINT_URL_S3=$s3
export AWS_ENDPOINT_URL_ECS=$ecs AWS_ENDPOINT_URL_SERVICE_QUOTAS=$ecs AWS_ENDPOINT_URL_PRICING=$ecs
export R_LIBS="$library${R_LIBS:+:$R_LIBS}" R_USER_CONFIG_DIR=$scratch/config R_USER_DATA_DIR=$scratch/data
unset STARBURST_STORE
export STARBURST_DEMO_STANDIN=$ecs

# The account's own network: moto cannot take away one that a stack has made.
STARBURST_DEMO_VPC=$(curl -sf "$moto/" -H 'Authorization: AWS4-HMAC-SHA256 Credential=k/20260101/us-east-1/ec2/aws4_request' \
  -d 'Action=DescribeVpcs&Version=2016-11-15' | sed -n 's/.*<vpcId>\(vpc-[^<]*\)<.*/\1/p' | head -n 1)
STARBURST_DEMO_SUBNETS=$(curl -sf "$moto/" -H 'Authorization: AWS4-HMAC-SHA256 Credential=k/20260101/us-east-1/ec2/aws4_request' \
  -d 'Action=DescribeSubnets&Version=2016-11-15' | grep -o 'subnet-[0-9a-f]*' | sort -u | head -n 2 | paste -sd, -)
export STARBURST_DEMO_VPC STARBURST_DEMO_SUBNETS

Rscript --vanilla tools/demo/aws.R
printf '\n== A detached session on Spot capacity, that is taken away meanwhile\n'
id=$(Rscript --vanilla tools/demo/aws-submit.R)
curl -sf "$ecs/-/interrupt-spot?count=1" >/dev/null
printf 'The R process that submitted the work has ended, and AWS has taken a worker back. Another R attaches to %s:\n\n' "$id"
Rscript --vanilla tools/demo/aws-collect.R "$id"
Rscript --vanilla tools/demo/aws-end.R
grep -q '"party":"worker"' "$work/record.jsonl" || { printf 'The record does not tell what workers asked.\n' >&2; exit 1; }
