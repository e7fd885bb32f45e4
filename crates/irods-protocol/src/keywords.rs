//! Keywords of the `condInput` list that goes with most calls.
//!
//! A keyword that a call does not know is ignored by servers, so a misspelt one does nothing and
//! says nothing: spell them by these constants. Many mean by their presence alone ("flag"); their
//! value is then empty. Sources: server source 4.2.8 to 5.0.2, recorded exchanges.

macro_rules! keywords {
    ($($name:ident = $text:literal, $doc:literal;)+) => {
        $(
            #[doc = concat!("`", $text, "`: ", $doc)]
            pub const $name: &str = $text;
        )+

        /// Every known keyword with its meaning in one line, for help texts and logs.
        pub const KEYWORDS: &[(&str, &str)] = &[$(($text, $doc)),+];
    };
}

keywords! {
    // What the call may do.
    FORCE_FLAG = "forceFlag", "flag: overwrite, or delete instead of moving to the trash";
    IRODS_ADMIN = "irodsAdmin", "flag: act as administrator on other users' objects";
    RECURSIVE_OPR = "recursiveOpr", "flag: make missing parents, or remove with all content";
    IRODS_RM_TRASH = "irodsRmTrash", "flag: purge inside the own trash";
    IRODS_ADMIN_RM_TRASH = "irodsAdminRmTrash", "flag: purge inside another user's trash";
    UNREG = "unreg", "flag: unregister, the files stay";
    UNREG_COLL = "unregColl", "flag: remove the collection's row";
    ALL = "all", "flag: every replica, or every resource that has one";
    DRYRUN = "dryrun", "flag: say what would be trimmed";
    NO_PARA_OP = "noParaOpr", "flag: transfer with one thread";
    NO_CHK_COPY_LEN = "noChkCopyLen", "flag: do not compare the stored with the declared size";
    NO_OPEN_FLAG = "noOpenFlag", "flag: make the object without opening a file";
    PURGE_CACHE = "purgeCache", "flag: drop the cached replica of a compound resource afterwards";

    // Which replica or resource.
    DEST_RESC_NAME = "destRescName", "resource to write to";
    RESC_NAME = "rescName", "resource to read from, or the one of a particular replica";
    DEF_RESC_NAME = "defRescName", "resource for when neither the call nor the server names one";
    BACKUP_RESC_NAME = "backupRescName", "resource for a backup replica";
    RESC_HIER = "resc_hier", "whole hierarchy root;child;leaf; no vote is held";
    SELECTED_HIERARCHY = "selected_hierarchy", "hierarchy that a vote chose; between servers";
    LEAF_RESC_NAME = "leafRescName", "leaf resource; its hierarchy is looked up";
    REPL_NUM = "replNum", "number of the replica";
    REPLICA_TOKEN = "replicaToken", "token of a replica in flight, to open it once more";
    RESOURCE_INFO_OP_TYPE = "getResourceInfoOpType", "CREATE, OPEN, WRITE or UNLINK";

    // The object's properties.
    DATA_TYPE = "dataType", "data type token; generic if absent";
    DATA_SIZE = "dataSize", "size in bytes, decimal";
    DATA_INCLUDED = "dataIncluded", "flag: the byte stream is the whole file";
    DATA_MODIFY = "dataModify", "modification time, decimal seconds";
    DATA_CREATE = "dataCreate", "creation time, decimal seconds";
    DATA_EXPIRY = "dataExpiry", "expiry time, decimal seconds";
    DATA_ACCESS_TIME = "dataAccessTime", "access time, decimal seconds (5.0)";
    DATA_COMMENTS = "dataComments", "comment of the replica";
    DATA_MODE = "dataMode", "mode of the file, decimal";
    DATA_OWNER = "dataOwner", "owner's name";
    DATA_OWNER_ZONE = "dataOwnerZone", "owner's zone";
    VERSION = "version", "version text of the replica";
    STATUS_STRING = "statusString", "status text of the replica";
    COLL_ID = "collId", "catalog id of the collection";
    RESC_ID = "rescId", "catalog id of the leaf resource";
    CHKSUM = "chksum", "checksum to store, unverified";
    METADATA_INCLUDED = "metadataIncluded", "AVUs to add: attribute;value;unit triples, ;-joined";
    ACL_INCLUDED = "aclIncluded", "permissions to set: level user, ;-joined";

    // Registration.
    FILE_PATH = "filePath", "physical path on the server";
    REG_REPL = "regRepl", "flag: register as another replica of an existing object";
    COLLECTION = "collection", "flag: register a directory tree";
    EXCLUDE_FILE = "excludeFile", "names to leave out of a tree";
    REGISTER_AS_INTERMEDIATE = "registerAsIntermediate", "flag: register in flight, unchecked";
    NO_CHK_FILE_PERM = "noChkFilePerm", "flag: skip the path permission check; administrators";
    COLLECTION_TYPE = "collectionType", "kind of a special collection, or unmount";
    COLLECTION_INFO_1 = "collectionInfo1", "first parameter of a special collection";
    COLLECTION_INFO_2 = "collectionInfo2", "second parameter of a special collection";
    COLLECTION_MTIME = "collectionMtime", "modification time to store on a collection";

    // Checksums.
    REG_CHKSUM = "regChksum", "flag: compute and store a checksum";
    VERIFY_CHKSUM = "verifyChksum", "expected checksum, or flag: verify what is stored";
    FORCE_CHKSUM = "forceChksum", "flag: compute again although one is stored";
    CHKSUM_ALL = "ChksumAll", "flag: all good replicas";
    NO_COMPUTE = "no_compute", "flag: while verifying, look at presence and sizes only";

    // Replication, trimming, synchronization.
    UPDATE_REPL = "updateRepl", "flag: bring an existing replica up to date";
    COPIES = "copies", "fewest replicas to keep; 2 if absent";
    AGE = "age", "least age in minutes";
    RSYNC_MODE = "rsyncMode", "direction of a synchronization";
    RSYNC_DEST_PATH = "rsyncDestPath", "destination of a synchronization";
    RSYNC_CHKSUM = "rsyncChksum", "checksum that a synchronization compares";

    // Replica status in modifications.
    REPL_STATUS = "replStatus", "replica status to store";
    ALL_REPL_STATUS = "allReplStatus", "this replica becomes good, the others at rest stale";
    STALE_ALL_INTERMEDIATE_REPLICAS = "staleAllIntermediateReplicas", "flag: replicas in flight become stale";

    // The rest.
    NUM_THREADS = "numThreads", "text copy of the field";
    OPR_TYPE = "oprType", "text copy of the field";
    OPEN_TYPE = "openType", "how an object was opened; between servers";
    SEL_OBJ_TYPE = "selObjType", "dataObj or collection: look only there";
    TRANSLATED_PATH = "translatedPath", "flag: the path has been resolved through links";
    ZONE = "zone", "zone that a query is for";
    INSTANCE_NAME = "instance_name", "rule engine that a rule is for";
    IN_PDMO = "in_pdmo", "resource that a call came from; between servers";
    SWITCH_PROXY_USER = "switch_proxy_user", "flag: change the proxy user along";
    CLOSE_OPEN_REPLICAS = "close_open_replicas", "flag: close what is open before the user changes";
    KEEP_SERVER_CONNECTIONS = "keep_svr_to_svr_connections", "flag: keep connections between servers";
    ALLOW_REDIRECT = "allow_redirect", "of the Python clients alone; no server knows it";
}

/// The meaning of a keyword in one line.
#[must_use]
pub fn meaning_of(keyword: &str) -> Option<&'static str> {
    KEYWORDS
        .iter()
        .find(|(known, _)| *known == keyword)
        .map(|&(_, meaning)| meaning)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_keyword_is_listed_once() {
        let mut texts: Vec<_> = KEYWORDS.iter().map(|(text, _)| *text).collect();
        texts.sort_unstable();
        assert!(texts.windows(2).all(|pair| pair[0] != pair[1]));
        assert!(meaning_of(FORCE_FLAG).is_some_and(|text| text.starts_with("flag")));
        assert_eq!(meaning_of("forceflag"), None);
    }
}
