"""What regdeploy knows of the host it runs on: folders, lock, ports, names, disk and trust."""
