/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-launch-plan-private.h"
#include "kcp-launcher.h"
#include "kcp-process-private.h"

G_BEGIN_DECLS

/* As they are now; the launcher may be changed later. For the setters that are not in
 * kcp-launcher.c, and for who starts children again and again. Borrowed. */
KcpLaunchSettings *kcp_launcher_settings (KcpLauncher *self);

/* The process behind a spawn that has failed, which may still be on its way out. Borrowed from
 * @result; NULL: it never ran. */
KcpProcess *kcp_launcher_get_failed_process (GAsyncResult *result);

G_END_DECLS
