"""Runs an image's entry point in its unpacked files, as a container engine would: with its user, folder and variables.

usage: in-image.py FOLDER IMAGE.json ARGUMENT...   IMAGE.json is what `buildah inspect` says of the image.
"""
import json
import os
import sys

folder, path, *arguments = sys.argv[1:]
with open(path) as file:
    config = json.load(file)["OCIv1"]["config"]
variables = dict(line.split("=", 1) for line in config["Env"])
# What ECS and the one who starts it tell a container.
variables |= {name: value for name, value in os.environ.items() if name.startswith(("AWS_", "ECS_"))}
user, _, group = config["User"].partition(":")
os.chroot(folder)
os.chdir(config["WorkingDir"])
os.setgroups([])
os.setgid(int(group))
os.setuid(int(user))
command = config["Entrypoint"] + arguments
os.execve(command[0], command, variables)
