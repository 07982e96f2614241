/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-types.h"

G_BEGIN_DECLS

/* Starts the thread that ends this process, and its group where it leads one, once the host has
 * been gone for the grace time, whatever the main thread is doing by then. It asks the socket
 * for the host's pid. @directory: the host's socket directory, removed when nobody owns it. */
void kcp_watchdog_start     (int         request_fd,
                             int         callback_fd,
                             const char *directory);
/* The host has closed its ends, and this process leaves by itself. At its very end, after all exit
 * handlers, what is left of its group and of a dead host's sockets is removed. */
void kcp_watchdog_host_is_gone (void);
void kcp_watchdog_set_grace (int         milliseconds);

G_END_DECLS
