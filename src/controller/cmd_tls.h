/* SPDX-License-Identifier: Apache-2.0 */
/* litepool-controller init-tls and issue: certificates for installations that have no CA of their own. */
#ifndef LITEPOOL_CONTROLLER_CMD_TLS_H
#define LITEPOOL_CONTROLLER_CMD_TLS_H

/* argv[0] is the command's name. The exit status. */
int cmd_init_tls(int argc, char **argv);
int cmd_issue(int argc, char **argv);

#endif
