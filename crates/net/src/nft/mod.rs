//! A thin client of nftables over nfnetlink: batches that the kernel takes as a whole or not at all. No `nft` program.
