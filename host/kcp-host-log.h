/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Sends log messages of @level and above to stderr, never to stdout: that belongs to the answers. */
void host_log_setup (GLogLevelFlags level);

G_END_DECLS
