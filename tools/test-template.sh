#!/usr/bin/env bash
# Checks inst/cloudformation: cfn-lint has nothing to say, both stacks deploy on a moto server, and the policies keep
# the rules of IAM. Needs a Python with cfn-lint, moto[server] and boto3: $STARBURST_MOTO_PYTHON, or python3.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${STARBURST_MOTO_PYTHON:-python3}
"$python" -c "import sys; from cfnlint.runner import main; sys.exit(main())" --include-checks I -- inst/cloudformation/*.yaml
"$python" -m unittest tools/test_permissions.py tools/test_template.py
