#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The image's first process: what the official images of MySQL and MariaDB do at least. An empty folder gets the system's tables, root the password of the environment; then the server.
set -eu
data=/var/lib/mysql
mkdir -p "$data" /run/mysqld
if [ ! -e "$data/made" ]; then
    mariadb-install-db --user=root --datadir="$data" --force --skip-test-db --skip-name-resolve --auth-root-authentication-method=normal > /tmp/install.log 2>&1 || { cat /tmp/install.log; exit 1; }
    sync
    touch "$data/made"
fi
cat > /run/mysqld/init.sql << END
CREATE DATABASE IF NOT EXISTS shop;
ALTER USER root@localhost IDENTIFIED BY '$MYSQL_ROOT_PASSWORD';
END
exec mariadbd --user=root --datadir="$data" --init-file=/run/mysqld/init.sql --skip-name-resolve --socket=/run/mysqld/mysqld.sock
