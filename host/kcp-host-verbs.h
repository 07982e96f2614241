/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-host-session.h"

G_BEGIN_DECLS

/* One file each. */
extern const HostVerb host_verb_lines;
extern const HostVerb host_verb_call;
extern const HostVerb host_verb_describe;
extern const HostVerb host_verb_check;
extern const HostVerb host_verb_run;

G_END_DECLS
