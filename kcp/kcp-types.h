/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>
#include <json-glib/json-glib.h>

G_BEGIN_DECLS

/* Everything public carries this; all other symbols of the library are hidden. */
#ifndef KCP_AVAILABLE_IN_ALL
#define KCP_AVAILABLE_IN_ALL __attribute__ ((visibility ("default"))) extern
#endif

/* Types that cross rooms. Each is documented where its functions are. */
typedef struct _KcpTraceContext KcpTraceContext;
typedef struct _KcpMessage KcpMessage;
typedef struct _KcpInvocation KcpInvocation;
typedef struct _KcpStream KcpStream;
typedef struct _KcpCallbackHandle KcpCallbackHandle;
typedef struct _KcpManifest KcpManifest;
typedef struct _KcpExitReport KcpExitReport;
typedef struct _KcpLauncher KcpLauncher;
typedef struct _KcpActor KcpActor;
typedef struct _KcpSupervisor KcpSupervisor;
typedef struct _KcpPool KcpPool;

/**
 * KcpPhase:
 * @KCP_PHASE_SPAWNING: the stub's process is being started
 * @KCP_PHASE_CONNECTING: the stub has not connected both sockets yet
 * @KCP_PHASE_HANDSHAKE: sockets are joined, HELLO is being exchanged
 * @KCP_PHASE_OPENING: the plugin file is being opened and its libraries are bound
 * @KCP_PHASE_SYMBOLS: the plugin's entry and its table are being checked
 * @KCP_PHASE_STARTING: the plugin takes its configuration and its `start` runs
 * @KCP_PHASE_READY: calls are served
 * @KCP_PHASE_STOPPING: calls are drained, the child is going
 *
 * How far the life of a child has come. A start that fails names the phase.
 */
typedef enum
{
  KCP_PHASE_SPAWNING,
  KCP_PHASE_CONNECTING,
  KCP_PHASE_HANDSHAKE,
  KCP_PHASE_OPENING,
  KCP_PHASE_SYMBOLS,
  KCP_PHASE_STARTING,
  KCP_PHASE_READY,
  KCP_PHASE_STOPPING,
} KcpPhase;

KCP_AVAILABLE_IN_ALL
const char *kcp_phase_to_string (KcpPhase phase);

/**
 * KcpResource:
 * @KCP_RESOURCE_ADDRESS_SPACE: bytes of memory it may map (RLIMIT_AS)
 * @KCP_RESOURCE_CPU_TIME: seconds of CPU time (RLIMIT_CPU)
 * @KCP_RESOURCE_OPEN_FILES: descriptors it may have open, one more than the highest number
 *   (RLIMIT_NOFILE)
 * @KCP_RESOURCE_CORE_SIZE: bytes of a core dump (RLIMIT_CORE)
 * @KCP_RESOURCE_FILE_SIZE: bytes to which it may make a file grow (RLIMIT_FSIZE)
 *
 * What a child can be given only so much of, see kcp_launcher_set_resource_limit(). New ones are
 * only ever added at the end.
 */
typedef enum
{
  KCP_RESOURCE_ADDRESS_SPACE,
  KCP_RESOURCE_CPU_TIME,
  KCP_RESOURCE_OPEN_FILES,
  KCP_RESOURCE_CORE_SIZE,
  KCP_RESOURCE_FILE_SIZE,
} KcpResource;

/**
 * KCP_RESOURCE_UNLIMITED:
 *
 * A limit as high as the child may set it: the hard limit that it gets from the host.
 */
#define KCP_RESOURCE_UNLIMITED G_MAXUINT64

/**
 * KcpActorState:
 * @KCP_ACTOR_STARTING: not ready yet; seen only by handlers of callbacks made during the start
 * @KCP_ACTOR_READY: takes calls
 * @KCP_ACTOR_STOPPING: finishes the calls it has, takes no new ones
 * @KCP_ACTOR_EXITED: the child is gone and reaped
 *
 * A child's states, which only ever go forward.
 */
typedef enum
{
  KCP_ACTOR_STARTING,
  KCP_ACTOR_READY,
  KCP_ACTOR_STOPPING,
  KCP_ACTOR_EXITED,
} KcpActorState;

G_END_DECLS
