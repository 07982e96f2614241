/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Sends log messages of @level and above to stderr, never to stdout: that belongs to the answers. */
void host_log_setup      (GLogLevelFlags  level);

/* Calls @func before each message of the main thread, to clear the line of a terminal; NULL ends it. */
void host_log_set_before (void          (*func) (gpointer data),
                          gpointer        data);

G_END_DECLS
