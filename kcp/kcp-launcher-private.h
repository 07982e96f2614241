/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-launch-plan-private.h"
#include "kcp-launcher.h"
#include "kcp-process-private.h"

G_BEGIN_DECLS

/* As they are now; the launcher may be changed later. */
const KcpLaunchSettings *kcp_launcher_get_settings (KcpLauncher *self);

/* The process behind a spawn that has failed, which may still be on its way out. Borrowed from
 * @result; NULL: it never ran. */
KcpProcess *kcp_launcher_get_failed_process (GAsyncResult *result);

G_END_DECLS
