################################################################################
#
# rescue-app
#
################################################################################

RESCUE_APP_VERSION = 0.1.0
RESCUE_APP_SITE = $(BR2_EXTERNAL_LIFEBOAT_PATH)/..
RESCUE_APP_SITE_METHOD = local
RESCUE_APP_LICENSE = MIT or Apache-2.0
RESCUE_APP_SUBDIR = rescue-app

# What building left behind in the working tree is no source.
RESCUE_APP_OVERRIDE_SRCDIR_RSYNC_EXCLUSIONS = --exclude target --exclude build

$(eval $(cargo-package))
